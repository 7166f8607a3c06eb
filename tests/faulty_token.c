/* SPDX-License-Identifier: Apache-2.0 */
/* A PKCS#11 module in front of another one, which errs as the file CONTROL says:
   "hang" (C_Sign waits while it says so), "wrong" (C_Sign flips a bit), "error N" (once, C_Sign),
   "attribute N" (C_SetAttributeValue). Each C_Login adds a byte to CONTROL.logins. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long rv;
struct list { unsigned char major, minor; rv (*call[68])(); };
enum { LOGIN = 18, SET = 25, SIGN = 43 };
static struct list mine, *real;

static int says(const char *word, rv *number) {
  char text[64] = "";
  FILE *file = fopen(CONTROL, "r");
  if (!file) return 0;
  if (!fgets(text, sizeof text, file)) text[0] = 0;
  fclose(file);
  if (strncmp(text, word, strlen(word))) return 0;
  *number = strtoul(text + strlen(word), 0, 0);
  return 1;
}

static rv sign(rv session, void *data, rv size, unsigned char *out, rv *got) {
  rv number = 0;
  while (says("hang", &number)) usleep(5000);
  if (says("error", &number)) { truncate(CONTROL, 0); return number; }
  rv answer = real->call[SIGN](session, data, size, out, got);
  if (out && !answer && says("wrong", &number)) out[7] ^= 1;
  return answer;
}

static rv set(rv session, rv object, void *attributes, rv count) {
  rv number = 0;
  if (says("attribute", &number)) return number;
  return real->call[SET](session, object, attributes, count);
}

static rv login(rv session, rv who, void *pin, rv size) {
  FILE *file = fopen(CONTROL ".logins", "a");
  if (file) { fputc('x', file); fclose(file); }
  return real->call[LOGIN](session, who, pin, size);
}

rv C_GetFunctionList(struct list **out) {
  void *module = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
  rv (*get)(struct list **) = module ? (rv (*)(struct list **))dlsym(module, "C_GetFunctionList") : 0;
  if (!get) return 5;
  rv answer = get(&real);
  if (answer) return answer;
  memcpy(&mine, real, sizeof mine);
  mine.call[LOGIN] = login;
  mine.call[SET] = set;
  mine.call[SIGN] = sign;
  *out = &mine;
  return 0;
}
