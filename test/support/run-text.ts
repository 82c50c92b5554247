import { spawn } from 'node:child_process'

/** What a program that ended left, its bytes as Latin-1. */
export interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Runs a program to its end in a directory, with fixed time zone and locale. */
export function runText(program: string, args: readonly string[], input: string, cwd: string): Promise<Ran> {
  return new Promise(resolve => {
    const child = spawn(program, [...args], { cwd, env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' } })
    let [out, err] = ['', '']
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString('latin1')
    })
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString('latin1')
    })
    child.stdin.on('error', () => {})
    child.on('close', status => resolve({ status, out, err: err.replaceAll('\r\n', '\n') }))
    child.stdin.end(input)
  })
}
