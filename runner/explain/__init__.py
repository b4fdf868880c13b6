"""Why a trained model decided as it did: attributions to pixels, tokens, steps of time and columns of a table."""
