/* host/yaml_tree.h: the nodes behind host/yaml.h, shared by yaml.c and yaml_value.c only.
 *
 * Layer    host, private.
 */
#ifndef CLM_HOST_YAML_TREE_H
#define CLM_HOST_YAML_TREE_H

#include "host/yaml.h"

typedef enum clm_yaml_style {
    CLM_YAML_PLAIN,
    CLM_YAML_QUOTED, /* in quotes, or a block scalar: text even when it looks like a number */
    CLM_YAML_WRAPPED /* from outside a file: neither */
} clm_yaml_style;

struct clm_yaml_node {
    clm_yaml_kind kind;
    clm_yaml_style style; /* scalars */
    size_t line, column;
    const clm_yaml *doc;
    const char
        *text;   /* scalars: own bytes behind the node, or those of the node it is an alias of */
    size_t size; /* bytes of a scalar, else number of children */
    clm_yaml_node *key, *first, *last, *next;
    clm_yaml_node *allocated; /* chain of all nodes of the tree */
};

struct clm_yaml {
    char name[160]; /* for messages: the end of a long path */
    clm_yaml_node *root;
    clm_yaml_node *allocated;
    size_t n_nodes;
};

#endif
