/* tools/chat_line.h: lines of a conversation from a terminal, with editing and history.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_CHAT_LINE_H
#define CLM_TOOLS_CHAT_LINE_H

void clm_chat_line_begin(void);
void clm_chat_line_end(void);

/* The next question, malloc'd: one line, lines joined by a backslash at their end, or the lines
 * between two lines of """. Ctrl+C drops what was typed so far. NULL at the end of the input
 * (Ctrl+D), or when Ctrl+C is pressed twice with nothing typed. */
char *clm_chat_line_read(void);

#endif
