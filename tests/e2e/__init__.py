"""The daemon as a process, against real servers, judged by an oracle outside of it."""
