"""The contract suite that every driver passes, ours and strangers'."""
