"""Every planted bug."""

from tests.mutants.doors import DOORS
from tests.mutants.money import MONEY
from tests.mutants.pages import PAGES
from tests.mutants.protocol import PROTOCOL
from tests.mutants.words import WORDS

MUTATIONS = (*PROTOCOL, *MONEY, *DOORS, *PAGES, *WORDS)
