import fc, { type RunDetails } from 'fast-check'

/** A synchronous property and its share of the cases, relative to the others. */
export interface Property {
  readonly name: string
  readonly weight: number
  run(numRuns: number, seed: number): RunDetails<unknown>
}

/** Keeps the input's type between the generator and the check, and out of the list. */
export function property<T> (name: string, weight: number, input: fc.Arbitrary<T>, check: (value: T) => void): Property {
  return { name, weight, run: (numRuns, seed) => fc.check(fc.property(input, check), { numRuns, seed }) as RunDetails<unknown> }
}
