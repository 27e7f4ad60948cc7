"""etc/spa/bff.ts: it compiles strictly, and spa.test.mjs holds of it. In a browser: tests/e2e."""
import os
import subprocess

import cache

HERE = os.path.dirname(os.path.abspath(__file__))


def test_the_page_authors_helper():
    spa = os.path.join(cache.spa(), "bff.js")
    ran = subprocess.run([cache.node(), "--test", os.path.join(HERE, "spa.test.mjs")], env={**os.environ, "BFF_SPA": spa},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "# pass 12" in ran.stdout or "ℹ pass 12" in ran.stdout, ran.stdout
