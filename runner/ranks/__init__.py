"""The processes that execute one run together: where each stands, what they tell each other, what became of them."""
