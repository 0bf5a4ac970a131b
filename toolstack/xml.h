/* SPDX-License-Identifier: MIT */
/* The few things that annex does with libxml2 trees. Names are those of no namespace. */
#ifndef ANNEX_XML_H
#define ANNEX_XML_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

/* The first child element of that name, or NULL; the next sibling element of the same name. */
xmlNode *xml_child(const xmlNode *parent, const char *name);
xmlNode *xml_next(const xmlNode *node);

/* The only child of that name, made at the end of parent if there is none. */
xmlNode *xml_ensure(xmlNode *parent, const char *name);

/* A new last child; text may be NULL. */
xmlNode *xml_add(xmlNode *parent, xmlNs *ns, const char *name, const char *text);

bool xml_named(const xmlNode *node, const char *name);

/* An attribute's value, valid until the tree changes; NULL when there is none. */
const char *xml_attr(const xmlNode *node, const char *name);
bool xml_attr_is(const xmlNode *node, const char *name, const char *value);
void xml_set(xmlNode *node, const char *name, const char *value);

/* The node's text without the blanks around it; false when it does not fit into size. */
bool xml_text(const xmlNode *node, char *out, size_t size);
/* The same, malloc()ed. */
char *xml_text_dup(const xmlNode *node);

/* Takes the element and the blanks before it out of the tree. NULL is fine. */
void xml_remove(xmlNode *node);

/* Parses one document without touching network or external entities; NULL with the error recorded. */
xmlDoc *xml_parse(const char *data, size_t length, const char *path);

/* The document as text; free with xmlFree(). */
char *xml_print(xmlDoc *doc);

#endif
