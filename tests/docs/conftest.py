"""What the tests of the site share."""

from tests.browser import *  # noqa: F403 - fixtures
