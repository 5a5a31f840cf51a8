import type { TenantName, Tokens } from '../types.js'

/** An output token costs about as much as two prompt tokens. */
const OUTPUT_WEIGHT = 2

interface Account {
  /** Weighted tokens served, on a scale that starts where others were when the tenant came. */
  served: number
  /** Requests that wait. */
  waiting: number
}

/**
 * Weighted fairness between tenants by tokens served, input 1 and output 2. Of the tenants that wait, the one that was served
 * least goes first; one that comes back from idling starts level with the least served of those that wait, so that it
 * brings no credit along.
 */
export class FairShare {
  readonly #accounts = new Map<TenantName, Account>()
  /** Level of the tenant that was last served: where newcomers start when nobody waits. */
  #level = 0

  waits(tenant: TenantName): void {
    const account = this.#account(tenant)
    if (account.waiting++ === 0) account.served = Math.max(account.served, this.#least(account))
  }

  /** Out of the queue, served or not. */
  left(tenant: TenantName): void {
    this.#account(tenant).waiting--
  }

  charge(tenant: TenantName, inputTokens: Tokens, outputTokens: Tokens): void {
    const account = this.#account(tenant)
    account.served += inputTokens + OUTPUT_WEIGHT * outputTokens
    if (inputTokens > 0) this.#level = Math.max(this.#level, account.served - inputTokens)
    if (this.#accounts.size > MAX_ACCOUNTS) this.#forget()
  }

  served(tenant: TenantName): number {
    return this.#accounts.get(tenant)?.served ?? 0
  }

  #account(tenant: TenantName): Account {
    let account = this.#accounts.get(tenant)
    if (account === undefined) {
      account = { served: 0, waiting: 0 }
      this.#accounts.set(tenant, account)
    }
    return account
  }

  #least(except: Account): number {
    let least = Infinity
    for (const account of this.#accounts.values()) {
      if (account.waiting > 0 && account !== except && account.served < least) least = account.served
    }
    return least === Infinity ? this.#level : least
  }

  /** Who idles below the level loses nothing by being forgotten. */
  #forget(): void {
    for (const [tenant, account] of this.#accounts) {
      if (account.waiting === 0 && account.served <= this.#level) this.#accounts.delete(tenant)
    }
  }
}

const MAX_ACCOUNTS = 10_000
