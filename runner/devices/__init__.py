"""How a training step is carried out: on one device or several, in how many passes, with which memory."""
