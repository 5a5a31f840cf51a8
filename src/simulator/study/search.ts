/** A load and the attainment of the worst class there. */
export interface Probe {
  readonly load: number
  readonly worst: number
}

export interface SearchOptions {
  /** What is known already, in any order. */
  readonly known: readonly Probe[]
  readonly objective: number
  /** Width at which the bracket is close enough; inside it the answer is interpolated. */
  readonly tolerance: number
  /** No load above this is tried. */
  readonly maxLoad: number
  readonly measure: (load: number) => Promise<number>
}

const LEAST_LOAD = 0.02

/**
 * Maximum goodput as a load: the highest at which the worst class attains the objective, below the first load that was seen to fail.
 * Brackets it among what is known, widens where needed, halves, and interpolates at the end. 0 = not even the least load attains it.
 */
export async function loadAtObjective({ known, objective, tolerance, maxLoad, measure }: SearchOptions): Promise<number> {
  const probes = [...known].sort((a, b) => a.load - b.load)
  const probe = async (load: number): Promise<Probe> => ({ load, worst: await measure(load) })
  const attains = ({ worst }: Probe): boolean => worst >= objective
  const failed = probes.findIndex(known => !attains(known))
  let pass: Probe | undefined = failed < 0 ? probes.at(-1) : probes[failed - 1]
  let fail: Probe | undefined = probes[failed]
  while (fail === undefined) {
    if (pass !== undefined && pass.load >= maxLoad) return pass.load
    const next: Probe = await probe(Math.min(maxLoad, (pass?.load ?? 0.5) * 1.25))
    if (attains(next)) pass = next
    else fail = next
  }
  while (pass === undefined) {
    if (fail.load / 1.5 < LEAST_LOAD) return 0
    const next: Probe = await probe(fail.load / 1.5)
    if (attains(next)) pass = next
    else fail = next
  }
  while (fail.load - pass.load > tolerance) {
    const next: Probe = await probe((fail.load + pass.load) / 2)
    if (attains(next)) pass = next
    else fail = next
  }
  return pass.load + (fail.load - pass.load) * (pass.worst - objective) / (pass.worst - fail.worst)
}
