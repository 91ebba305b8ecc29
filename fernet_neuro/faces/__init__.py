"""Where a face is in a picture: landmarks, detection, alignment."""
