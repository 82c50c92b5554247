import { createHash, randomInt } from 'node:crypto'
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

/** Where agents have their sockets: ~/.ssh/agent, named as OpenSSH 10.1 and later name them, whose agents share the folder. */

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const nameLength = 10

/** Which machine a socket is of, for a home folder that many share. */
export function hostTag(name: string = hostname()): string {
  const digest = createHash('sha512').update(name).digest()
  return Array.from(digest.subarray(0, nameLength), byte => letters[byte % letters.length]).join('')
}

export const agentFolder = (home: string): string => join(home, '.ssh', 'agent')

/** A name for a new socket; its folder is made, for the user only. `tag` says whose: `agent` or `sshd`. @throws what the system says */
export function newAgentSocket(home: string, tag = 'agent'): string {
  for (const folder of [join(home, '.ssh'), agentFolder(home)]) mkdirSync(folder, { recursive: true, mode: 0o700 })
  const random = Array.from({ length: nameLength }, () => letters[randomInt(letters.length)]).join('')
  return join(agentFolder(home), `s.${hostTag()}.${tag}.${random}`)
}

/** A name in a new folder below $TMPDIR, and that folder. @throws what the system says */
export function newTemporarySocket(pid: number): { readonly path: string; readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'ssh-'))
  return { path: join(folder, `agent.${pid}`), folder }
}

/** Milliseconds that a socket is left alone for: an agent may be about to listen. */
const staleAge = 60 * 60 * 1000

/** Removes sockets that nobody listens on any more: of this machine, or of any. */
export async function removeStaleSockets(
  home: string,
  { anyHost, log }: { anyHost: boolean; log: Log },
): Promise<void> {
  const folder = agentFolder(home)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if (!isMissing(error)) log.error(`opendir "${folder}": ${messageOf(error)}`)
    return
  }
  const prefix = `s.${hostTag()}.`
  for (const name of names) {
    const path = join(folder, name)
    const status = lstatSync(path, { throwIfNoEntry: false })
    if (!status?.isSocket() || Date.now() - status.mtimeMs < staleAge) continue
    if ((!anyHost && !name.startsWith(prefix)) || !(await isDead(path))) continue
    log.debug1?.(`cleanup stale socket ${path}`)
    try {
      unlinkSync(path)
    } catch (error) {
      if (!isMissing(error)) log.error(`unlink "${path}": ${messageOf(error)}`)
    }
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

const isDead = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('error', error => resolve('code' in error && error.code === 'ECONNREFUSED'))
  })
