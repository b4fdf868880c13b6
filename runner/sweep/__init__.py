"""A search over configs: many run directories from one study, executed by workers that fork from a warm
one.
"""
