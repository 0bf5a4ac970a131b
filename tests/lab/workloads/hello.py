# SPDX-License-Identifier: MIT
"""hello: Python starts and says which machine it runs on."""
import os
import platform

print("hello from Python", platform.python_version(), "on", os.uname().release)
