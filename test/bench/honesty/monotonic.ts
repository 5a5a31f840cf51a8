const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** From this process's `performance.now()` to the machine's clock that only goes forward, the same to every process. */
export const monotonicMs = (ownMs: number): number => ownMs + offsetMs
