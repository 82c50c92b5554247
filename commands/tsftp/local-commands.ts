import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { encodePath } from '../../lib/wire/path.ts'
import { nativePath } from '../../src/net/confinement.ts'
import { reasonText } from '../../src/sftp/texts.ts'
import { visible } from '../../src/terminal/names.ts'
import { CommandFailure, type Context } from './context.ts'

export function changeLocalDirectory([path]: readonly string[]): void {
  const wanted = expandTilde(path === undefined || path === '' ? '~' : path)
  try {
    process.chdir(wanted)
  } catch (error) {
    throw new CommandFailure(`Couldn't change local directory to "${visible(wanted)}": ${reasonText(error)}`)
  }
}

const expandTilde = (path: string): string => (/^~(\/|$)/.test(path) ? homedir() + path.slice(1) : path)

export function makeLocalDirectory([path = '']: readonly string[]): void {
  try {
    mkdirSync(nativePath(path), 0o777)
  } catch (error) {
    throw new CommandFailure(`Couldn't create local directory "${visible(path)}": ${reasonText(error)}`)
  }
}

export function printLocalDirectory(context: Context): void {
  context.print(`Local working directory: ${visible(process.cwd())}\n`)
}

export function setUmask(context: Context, mask: number): void {
  process.umask(mask & 0o777)
  context.print(`Local umask: ${mask.toString(8).padStart(3, '0')}\n`)
}

/** Runs a command of the user's shell, or the shell. */
export async function runShell(context: Context, line: string): Promise<void> {
  const shell = process.env['SHELL'] || '/bin/sh'
  const args = line === '' ? [] : ['-c', encodePath(line).toString('utf8')]
  const status = await new Promise<number | null | Error>(resolve => {
    const child = spawn(shell, args, { stdio: 'inherit' })
    child.on('error', resolve)
    child.on('close', resolve)
  })
  if (status instanceof Error) context.error(`Couldn't execute "${visible(shell)}": ${reasonText(status)}`)
  else if (status === null) context.error('Shell exited abnormally')
  else if (status !== 0) context.error(`Shell exited with status ${status}`)
}

export const listLocal = (context: Context, args: string): Promise<void> =>
  runShell(context, args === '' ? 'ls' : `ls ${args}`)
