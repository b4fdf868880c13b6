"""Loss landscapes: the loss around a trained model, along one or two directions of its weights.

Li et al. 2018, arXiv:1712.09913.
"""
