import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Whether a peer program is installed; tests that need one are skipped by its name otherwise. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map(folder => join(folder, name)).find(path => existsSync(path))
}

export const haveProgram = (name: string): boolean => findProgram(name) !== undefined

/** Whether the system's Python has a module. */
export const havePythonModule = (name: string): boolean =>
  existsSync('/usr/bin/python3') && spawnSync('/usr/bin/python3', ['-W', 'ignore', '-c', `import ${name}`]).status === 0
