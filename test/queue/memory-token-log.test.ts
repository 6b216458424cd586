// The token log of one process keeps the contract, within its memory.
import { MemoryTokenLog } from "../../src/queue/memory-token-log.js";
import { testTokenLogContract } from "../support/token-log-contract.js";

testTokenLogContract("MemoryTokenLog", {
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
});
