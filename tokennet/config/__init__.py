"""Ablations as YAML files: read, checked key by key, resolved to the arguments of `tn.ablate`."""

from tokennet.config.file import AblationFile, read_file, read_text

__all__ = ["AblationFile", "read_file", "read_text"]
