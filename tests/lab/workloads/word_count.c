/* SPDX-License-Identifier: MIT */
/*
 * word_count FILE: counts the words of a mapped text with one thread and prints "COUNT WORD" for
 * each, sorted by word, to standard output. A word is a run of the letters a to z.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include "lab.h"

#define SLOTS (1u << 18)

struct entry {
	const char *word;
	uint32_t length;
	uint32_t count;
};

static struct entry *table;
static unsigned used;

static void count_word(const char *word, uint32_t length, uint64_t hash)
{
	for (uint64_t slot = lab_mix(hash);; slot++) {
		struct entry *e = &table[slot % SLOTS];

		if (e->count == 0) {
			if (++used > SLOTS / 2)
				lab_fail("more than %u different words", SLOTS / 2);
			e->word = word;
			e->length = length;
		} else if (e->length != length || memcmp(e->word, word, length) != 0) {
			continue;
		}
		e->count++;
		return;
	}
}

static int by_word(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	uint32_t least = x->length < y->length ? x->length : y->length;
	int order = memcmp(x->word, y->word, least);

	return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static void count_all(const char *text, size_t size)
{
	size_t start = 0;
	uint64_t hash = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned letter = (unsigned char)text[i] - 'a';

		if (letter < 26) {
			hash = hash * 31 + letter + 1;
			continue;
		}
		if (i > start)
			count_word(text + start, (uint32_t)(i - start), hash);
		start = i + 1;
		hash = 0;
	}
	if (size > start)
		count_word(text + start, (uint32_t)(size - start), hash);
}

int main(int argc, char **argv)
{
	int fd = open(argc > 1 ? argv[1] : "", O_RDONLY);
	struct stat info;
	const char *text;
	unsigned n = 0;

	if (fd < 0 || fstat(fd, &info) != 0)
		lab_fail("cannot open the text");
	text = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	table = calloc(SLOTS, sizeof(*table));
	if (text == MAP_FAILED || table == NULL)
		lab_fail("no memory");
	count_all(text, (size_t)info.st_size);
	for (unsigned i = 0; i < SLOTS; i++)
		if (table[i].count != 0)
			table[n++] = table[i];
	qsort(table, n, sizeof(*table), by_word);
	for (unsigned i = 0; i < n; i++)
		printf("%u %.*s\n", table[i].count, (int)table[i].length, table[i].word);
	return 0;
}
