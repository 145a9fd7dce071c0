"""Reading and rendering of data.

chat: messages → token ids with the reply marked. dialogues: training rows and references in six formats.
roles: characters and their two system prompts. suites: evaluation prompts. files: the shared reader.
"""
