import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'

/** Longest path of a socket, in bytes: a longer one would be cut without a word. */
const pathLimit = 107

/** Whether a path names a socket as it is. */
export const isSocketPath = (path: string): boolean =>
  path !== '' && !path.includes('\0') && Buffer.byteLength(path) <= pathLimit

/**
 * Listens on a Unix domain socket whose file is made under this umask. Connections come paused, with half-open ones
 * allowed. The file goes with the listener. @throws what the system says
 */
export async function listenUnix(
  path: string,
  options: { readonly mask: number; readonly unlinkFirst: boolean },
  connected: (socket: Socket) => void,
): Promise<Server> {
  if (!isSocketPath(path)) throw new Error(`path "${path}" too long for Unix domain socket`)
  if (options.unlinkFirst) rmSync(path, { force: true })
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, connected)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Binding happens within the call, so that nothing else is made under this umask.
    const mask = process.umask(options.mask)
    try {
      server.listen({ path }, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(mask)
    }
  })
  return server
}
