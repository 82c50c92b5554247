import { spawn } from 'node:child_process'

/** Set in the process that goes to the background. */
const marker = 'TSSH_IN_BACKGROUND'

/** What it says once it is logged in. */
const ready = 'ready'

export const isBackground = (): boolean => process.env[marker] !== undefined && process.send !== undefined

/**
 * ForkAfterAuthentication: a process cannot be divided here, so another one logs in, on the same terminal, and this one
 * waits until it did. @returns 0 then, or the status of the other one if it failed before
 */
export function startInBackground(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    env: { ...process.env, [marker]: '1' },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  return new Promise(resolve => {
    child.on('message', message => {
      if (message === ready) resolve(0)
    })
    child.on('error', () => resolve(255))
    child.on('exit', status => resolve(status ?? 255))
  })
}

/** Lets go of the terminal and of the process that waits. */
export function enterBackground(): void {
  if (!isBackground()) return
  delete process.env[marker]
  // The terminal may go away; the connection stays.
  process.removeAllListeners('SIGHUP')
  process.on('SIGHUP', () => {})
  process.send?.(ready, () => process.disconnect?.())
}
