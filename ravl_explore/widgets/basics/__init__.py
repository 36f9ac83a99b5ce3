"""What every panel is made of: buttons and jobs, messages, forms, figures, pages."""
