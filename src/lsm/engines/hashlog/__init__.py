"""hashlog: a Bitcask (Sheehy and Smith, 2010): a log of files, and in memory where in it each key lies.

options       HashLogOptions
manifest      HASHLOG, the one file that says which data files count; names of files
datafiles     DataFiles: what the database is made of now, and the one way to change it
recovery      from what lies in the directory to what the database is
merge         which files to merge (a pure function), and merging
merger        the background thread
inspect       stats and verify
database      HashLog
"""
