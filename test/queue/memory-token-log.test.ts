// The token log of one process keeps the contract, within its memory.
import { MemoryTokenLog } from "../../src/queue/memory-token-log.js";
import { testTokenLogContract, type ContractOptions } from "../support/token-log-contract.js";
import { testTokenLogModel } from "../support/token-log-model.js";

const options: ContractOptions = {
  skip: false,
  async build({ ttlMs }) {
    let nowMs = 0;
    const log = new MemoryTokenLog({ ttlMs, now: () => nowMs });
    return {
      log,
      pass: async (ms) => void (nowMs += ms),
      dispose: async () => undefined,
    };
  },
};

testTokenLogContract("MemoryTokenLog", options);
testTokenLogModel("MemoryTokenLog", options, 500);
