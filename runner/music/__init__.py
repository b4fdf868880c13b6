"""Parsing and checking of tunes in ABC notation, and conversion to MIDI and audio."""
