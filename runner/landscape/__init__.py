"""The loss around a trained model, along two directions in the space of its weights (Li et al.,
arXiv:1712.09913).
"""
