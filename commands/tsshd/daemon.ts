import { spawn } from 'node:child_process'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { reexecution } from './reexec.ts'

/** What the daemon tells the process that started it. */
const listening = 'listening'

/**
 * Starts this program again, away from terminal and session, and resolves once it listens: with 0, or with its exit
 * status when it ended instead. Its complaints appear on our stderr.
 */
export function detach(args: readonly string[]): Promise<number> {
  const [program, ...words] = reexecution('daemon', args)
  const daemon = spawn(program, words, { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  return new Promise((resolve, reject) => {
    daemon.on('error', reject)
    daemon.on('exit', status => resolve(status ?? 255))
    daemon.on('message', message => {
      if (message !== listening) return
      daemon.disconnect()
      daemon.unref()
      resolve(0)
    })
  })
}

/** The daemon's side: says that it listens, and lets go of what it had from its parent. */
export function settleAsDaemon(): Promise<void> {
  process.chdir('/')
  return new Promise(resolve => {
    process.send?.(listening, undefined, undefined, () => {
      // stderr may be a terminal that is to be closed, or a pipe that somebody waits for.
      closeSync(2)
      openSync('/dev/null', 'w')
      resolve()
    })
  })
}

/** Writes PidFile. @returns how to remove it */
export function writePidFile(file: string | undefined, log: Log): () => void {
  if (file === undefined) return () => {}
  try {
    writeFileSync(file, `${process.pid}\n`, { mode: 0o644 })
    return () => rmSync(file, { force: true })
  } catch (error) {
    log.error(`Couldn't create pid file "${file}": ${messageOf(error)}`)
    return () => {}
  }
}
