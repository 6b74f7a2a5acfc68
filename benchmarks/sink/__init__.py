"""A process that takes and counts messages, by SMTP or Twilio-shaped HTTP, as cheaply as Python can."""
