// Clients that ask one after another, for as long as a test wants load.

export interface Load {
  /** Ends asking, lets what runs finish. */
  stop(): Promise<void>
  /** Requests answered to the end. */
  readonly answered: number
}

/** `clients` clients at once; `next` makes each one's next request. */
export const startLoad = (clients: number, next: () => { url: string, headers?: Record<string, string>, body: object }): Load => {
  let going = true
  let answered = 0
  const client = async () => {
    while (going) {
      const { url, headers, body } = next()
      const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
      await response.text()
      answered++
    }
  }
  const all = Promise.all(Array.from({ length: clients }, client))
  return {
    stop: async () => {
      going = false
      await all
    },
    get answered() { return answered },
  }
}
