/** Milliseconds for an orderly end, which a peer that is silent could put off. */
const orderlyEnd = 10_000

/** For a command that ends its work in an orderly way: aborted by the first SIGINT, SIGTERM or SIGHUP. */
export function abortedBySignals(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      controller.abort()
      // What is cut off in an orderly way takes a moment; a second signal does not wait for it, nor do we for ever.
      process.once(signal, () => process.exit(1))
      setTimeout(() => process.exit(1), orderlyEnd).unref()
    })
  }
  return controller.signal
}
