import { expect, test } from 'vitest'
import { createLog, type LogLevel } from '../../src/command/stderr-log.ts'

const calls = ['fatal', 'error', 'info', 'verbose', 'debug1', 'debug2', 'debug3'] as const

test('a log passes lines up to its level, and has no method past it', () => {
  const lines: string[] = []
  const log = createLog('VERBOSE', (line, level) => lines.push(`${level} ${line}`))
  for (const call of calls) log[call]?.(call)
  expect(lines).toEqual(['FATAL fatal', 'ERROR error', 'INFO info', 'VERBOSE verbose'])
  expect(log.debug1).toBeUndefined()
  log.level = 'DEBUG3'
  log.debug2?.('more')
  expect(lines.at(-1)).toBe('DEBUG2 debug2: more')
  log.level = 'QUIET'
  for (const call of calls) log[call]?.(call)
  expect(lines).toHaveLength(5)
})

test('another log to the same place has a level of its own', () => {
  const lines: string[] = []
  const log = createLog('INFO', line => lines.push(line))
  const own = log.another()
  own.level = 'DEBUG1'
  own.debug1?.('mine')
  log.debug1?.('not shown')
  expect([log.level, own.level] satisfies LogLevel[]).toEqual(['INFO', 'DEBUG1'])
  expect(lines).toEqual(['debug1: mine'])
})
