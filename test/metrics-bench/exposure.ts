/** Which events may have felt a look: what was on its way while one went on, and what then waited in line with it. */

/** From and to, in microseconds of the machine's monotonic clock. */
export type Span = readonly [fromUs: number, toUs: number]

/** An event was on its way from its writing to its arrival. */
export interface Passage {
  readonly writtenUs: number
  readonly arrivedUs: number
}

/**
 * For each passage, in the order of arrival, whether a look can have held it up. A look's end is put off for as long as events that it touched
 * arrive later than `lateUs` after they were written: whatever stands behind them waits for the same.
 */
export function exposed(passages: readonly Passage[], looks: readonly Span[], lateUs: number): boolean[] {
  const ahead = [...looks].sort(([a], [b]) => a - b)
  let next = 0, untilUs = -Infinity
  return passages.map(({ writtenUs, arrivedUs }) => {
    while (next < ahead.length && ahead[next]![0] <= arrivedUs) untilUs = Math.max(untilUs, ahead[next++]![1])
    const isTouched = writtenUs <= untilUs
    if (isTouched && arrivedUs - writtenUs > lateUs) untilUs = Math.max(untilUs, arrivedUs)
    return isTouched
  })
}
