"""The engines, each under the contract of `lsm.contract`: lsm, pylsm, hashlog, btree, memory."""
