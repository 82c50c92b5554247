import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

/** Writes how the user logged in to a file of the user's own (ExposeAuthInfo), one method a line. */
export function exposeAuthInfo(
  methods: readonly string[],
  log: Log,
): { readonly file: string; remove(): void } | undefined {
  try {
    const folder = mkdtempSync('/tmp/sshauth.')
    const file = join(folder, 'info')
    writeFileSync(file, methods.map(line => `${line}\n`).join(''), { mode: 0o600 })
    return { file, remove: () => rmSync(folder, { recursive: true, force: true }) }
  } catch (error) {
    log.error(`exposing authentication information failed: ${messageOf(error)}`)
    return undefined
  }
}
