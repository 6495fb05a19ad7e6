"""What a task does with records, the same in every runner.

`run_map` and `run_reduce` are imported from `mapreduce.task.map_task` and
`mapreduce.task.reduce_task`, so that naming this package imports no columns.
"""
