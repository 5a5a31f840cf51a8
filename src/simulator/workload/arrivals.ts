import { exponential, gamma, type Ms, type Random } from '../../core/index.js'

/** How requests of a synthetic workload arrive; the rate is given apart. */
export type ArrivalProcess =
  | { readonly process: 'poisson' }
  /** Independent Gamma gaps with this coefficient of variation; 1 is Poisson, more is bursty. */
  | { readonly process: 'gamma', readonly cv: number }
  | { readonly process: 'constant' }
  /** Poisson whose rate is `ratio` times higher in the on phases than in the off phases; the mean rate is kept. */
  | { readonly process: 'on-off', readonly ratio: number, readonly onMs: Ms, readonly offMs: Ms }

/** Arrival times of a process of `ratePerSecond`; `next()` gives them in rising order from 0. */
export class Arrivals {
  private nowMs = 0
  private readonly meanGapMs: Ms

  constructor(private readonly arrivals: ArrivalProcess, ratePerSecond: number, private readonly random: Random) {
    if (!(ratePerSecond > 0)) throw new Error(`the arrival rate must be above 0 per second, got ${ratePerSecond}`)
    this.meanGapMs = 1000 / ratePerSecond
  }

  next(): Ms {
    const arrivals = this.arrivals
    switch (arrivals.process) {
      case 'constant':
        this.nowMs += this.meanGapMs
        break
      case 'poisson':
        this.nowMs += exponential(this.random, this.meanGapMs)
        break
      case 'gamma': {
        const shape = 1 / (arrivals.cv * arrivals.cv)
        this.nowMs += gamma(this.random, shape, this.meanGapMs / shape)
        break
      }
      case 'on-off':
        this.nowMs = this.nextOnOff(arrivals)
    }
    return this.nowMs
  }

  /** Inverts the cumulative rate: draws the work to the next arrival, then walks the phases that it spans. */
  private nextOnOff({ ratio, onMs, offMs }: { ratio: number, onMs: Ms, offMs: Ms }): Ms {
    const period = onMs + offMs
    const offRate = period / (ratio * onMs + offMs) / this.meanGapMs
    let left = exponential(this.random, 1)
    let at = this.nowMs
    for (;;) {
      const phase = at % period
      const on = phase < onMs
      const rate = on ? offRate * ratio : offRate
      const untilChange = (on ? onMs : period) - phase
      if (left <= untilChange * rate) return at + left / rate
      left -= untilChange * rate
      at += untilChange
      if (at % period === phase) at += 1e-9 // rounding must not stand still
    }
  }
}

/** Reads `poisson`, `constant`, `gamma:CV`, `on-off:RATIO:ON_SECONDS:OFF_SECONDS`. */
export function parseArrivals(text: string): ArrivalProcess {
  const [process, ...numbers] = text.split(':')
  const values = numbers.map(Number)
  const positive = values.every(value => value > 0)
  if (process === 'poisson' && values.length === 0) return { process }
  if (process === 'constant' && values.length === 0) return { process }
  if (process === 'gamma' && values.length === 1 && positive) return { process, cv: values[0]! }
  if (process === 'on-off' && values.length === 3 && positive) return { process, ratio: values[0]!, onMs: values[1]! * 1000, offMs: values[2]! * 1000 }
  throw new Error(`unknown arrivals "${text}"; expected poisson, constant, gamma:CV (as gamma:4) or on-off:RATIO:ON_SECONDS:OFF_SECONDS (as on-off:3:10:20)`)
}
