# pysqlite3 is the standard library's sqlite3, built against a newer SQLite; so are its types.
from sqlite3 import *
