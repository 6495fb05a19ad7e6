"""MapReduce: jobs over files of the DFS or of this machine.

import mapreduce as mr

class WordCount(mr.Job):
    def mapper(self, key, line):
        for word in line.split():
            yield word, 1

    def reducer(self, word, counts):
        yield word, sum(counts)

for word, n in WordCount().run(["book.txt"]):
    print(word, n)
"""

from typing import TYPE_CHECKING, NoReturn

from mapreduce.counters import count
from mapreduce.errors import JobFailed, UserCodeError
from mapreduce.formats.fixed_length import FixedLength
from mapreduce.formats.text_lines import KeyValue, TextLines
from mapreduce.formats.text_output import TSV, JSONLines, Text
from mapreduce.formats.whole_file import WholeFile
from mapreduce.input_class import Input
from mapreduce.job_class import Job
from mapreduce.params import param
from mapreduce.result import Result
from mapreduce.side_files import file
from mapreduce.step_class import Step
from mapreduce.task.side import to
from mapreduce.total_order import TotalOrder
from mapreduce.unbuilt import missing

__all__ = [
    "TSV",
    "FixedLength",
    "Input",
    "JSONLines",
    "Job",
    "JobFailed",
    "KeyValue",
    "Result",
    "Step",
    "Text",
    "TextLines",
    "TotalOrder",
    "UserCodeError",
    "WholeFile",
    "count",
    "file",
    "param",
    "to",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise missing(name)
