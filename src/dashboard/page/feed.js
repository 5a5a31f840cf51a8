// The live figures: server-sent events over fetch, since an EventSource cannot send the token that a public listener asks for.

const HISTORY = 600
const RETRY_MS = 2000
const TOKEN = 'sluice-admin-token'

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? '',
  set: (value) => {
    if (value === '') sessionStorage.removeItem(TOKEN)
    else sessionStorage.setItem(TOKEN, value)
  },
}

export const ask = (path, options = {}) => fetch(path, {
  ...options,
  headers: { ...options.headers, ...(token.get() === '' ? {} : { authorization: `Bearer ${token.get()}` }) },
})

const append = (old, more) => {
  if (Array.isArray(more)) return [...(old ?? []), ...more].slice(-HISTORY)
  const out = {}
  for (const [name, value] of Object.entries(more)) out[name] = append(old?.[name], value)
  return out
}

/** Follows the figures of a persona; calls `show(snapshot, history)` each second and `say(state)` when the connection changes. */
export class Feed {
  constructor(show, say) {
    this.show = show
    this.say = say
    this.abort = undefined
  }

  async follow(persona) {
    this.abort?.abort()
    const abort = this.abort = new AbortController()
    while (!abort.signal.aborted) {
      try {
        await this.read(persona, abort.signal)
      } catch {
        if (abort.signal.aborted) return
      }
      if (abort.signal.aborted) return
      if (this.denied) return
      this.say('lost')
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  async read(persona, signal) {
    const response = await ask(`/api/dashboard?persona=${encodeURIComponent(persona)}`, { signal })
    this.denied = response.status === 401 || response.status === 403
    if (this.denied) return this.say('denied')
    if (!response.ok) throw new Error(`status ${response.status}`)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let rest = '', history
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += value
      let end
      while ((end = rest.indexOf('\n\n')) >= 0) {
        const text = rest.slice(0, end)
        rest = rest.slice(end + 2)
        if (!text.startsWith('data: ')) continue
        const message = JSON.parse(text.slice(6))
        history = append(history, message.history)
        this.say('live')
        this.show(message.snapshot, history)
      }
    }
  }
}
