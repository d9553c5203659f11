"""What people do with a finished vector set; it is read here and never written."""
