"""The demo: operators in one block on real data, each held to its claims, as one page.

`tokennet demo` runs it; `tokennet.demo.run.run_demo` is the function behind it.
"""
