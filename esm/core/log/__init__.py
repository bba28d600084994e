"""The rules of logs: what is in a lane's hands, what a reply means for it, what outlives a restart."""
